//! A template and its life: draft, published, withdrawn, disabled.
//!
//! ```text
//!            publish              withdraw
//!   draft ───────────► published ──────────► withdrawn
//!     │                    ▲                  │  │
//!     │                    └─────── publish ──┘  │
//!     └──────────► disabled ◄────────────────────┘
//! ```
//!
//! A draft is changed at will. What has once been published has registrations: it is changed while
//! it is withdrawn, only in ways that leave their values what they are, and gets another version.

use std::fmt;

use guantong_proto::Handle;
use serde::{Deserialize, Serialize};

use super::definition::{Definition, Fault};

//----------- Template -------------------------------------------------------

/// A template whose definition has been checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    handle: Handle,
    state: State,
    version: u32,
    based_on: Option<Handle>,
    is_quoted: bool,
    definition: Definition,
}

/// Where a template is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// It was never published: nobody but its administrators sees it.
    Draft,
    /// It may be registered by.
    Published,
    /// It may not be registered by for now, and is not shown. What was registered stays.
    Withdrawn,
    /// It is not used any more, for ever. It is shown, since registrations name it.
    Disabled,
}

/// Where a template comes from.
#[derive(Default)]
pub(super) struct Origin {
    pub(super) based_on: Option<Handle>,
    pub(super) is_quoted: bool,
}

impl Template {
    /// A new draft.
    pub fn draft(handle: Handle, definition: Definition) -> Result<Self, Vec<Fault>> {
        let origin = Origin::default();
        Self::restore(handle, State::Draft, 1, origin, definition.numbered())
    }

    /// A template as it was stored.
    pub(super) fn restore(
        handle: Handle,
        state: State,
        version: u32,
        origin: Origin,
        definition: Definition,
    ) -> Result<Self, Vec<Fault>> {
        let faults = definition.faults();
        match faults.is_empty() {
            true => Ok(Self {
                handle,
                state,
                version,
                based_on: origin.based_on,
                is_quoted: origin.is_quoted,
                definition,
            }),
            false => Err(faults),
        }
    }

    /// A draft with the same definition under another handle.
    #[must_use]
    pub fn copy(&self, handle: Handle) -> Self {
        Self {
            handle,
            state: State::Draft,
            version: 1,
            based_on: Some(self.handle.clone()),
            is_quoted: false,
            definition: self.definition.clone(),
        }
    }

    /// The same, but the fields stay what they are: registrations by both can be told to be alike.
    #[must_use]
    pub fn quote(&self, handle: Handle) -> Self {
        Self {
            is_quoted: true,
            ..self.copy(handle)
        }
    }

    /// Its handle.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Where it is in its life.
    pub fn state(&self) -> State {
        self.state
    }

    /// How often it was changed after it had been published, and one.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The template that it was copied from.
    pub fn based_on(&self) -> Option<&Handle> {
        self.based_on.as_ref()
    }

    /// Whether its fields are those of the template that it was copied from, and stay so.
    pub fn is_quoted(&self) -> bool {
        self.is_quoted
    }

    /// What it says.
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// The same in another state.
    pub fn turn(self, to: State) -> Result<Self, WrongState> {
        let from = self.state;
        let allowed = matches!(
            (from, to),
            (State::Draft, State::Published | State::Disabled)
                | (State::Published, State::Withdrawn)
                | (State::Withdrawn, State::Published | State::Disabled)
        );
        match allowed {
            true => Ok(Self { state: to, ..self }),
            false => Err(WrongState {
                from,
                to: to.into(),
            }),
        }
    }

    /// The same with another definition.
    pub fn amend(self, next: Definition) -> Result<Self, NotAmended> {
        let (from, next) = (self.state, next.continuing(&self.definition));
        if self.is_quoted && next.fields != self.definition.fields {
            let place = "fields".to_owned();
            let why = "must stay: the template quotes another one".to_owned();
            return Err(NotAmended::Faults(vec![Fault { place, why }]));
        }
        let version = match from {
            State::Draft => self.version,
            State::Withdrawn => {
                let breaches = self.definition.breaches(&next);
                if !breaches.is_empty() {
                    return Err(NotAmended::Faults(breaches));
                }
                self.version.saturating_add(1)
            }
            State::Published | State::Disabled => {
                return Err(NotAmended::State(WrongState {
                    from,
                    to: Goal::Changed,
                }));
            }
        };
        let origin = Origin {
            based_on: self.based_on,
            is_quoted: self.is_quoted,
        };
        Self::restore(self.handle, from, version, origin, next).map_err(NotAmended::Faults)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Draft => "a draft",
            Self::Published => "published",
            Self::Withdrawn => "withdrawn",
            Self::Disabled => "disabled",
        })
    }
}

//----------- WrongState -----------------------------------------------------

/// The template is not in a state from which this can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongState {
    from: State,
    to: Goal,
}

/// What was to be done with a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    Published,
    Withdrawn,
    Disabled,
    Changed,
    Registered,
}

impl WrongState {
    pub(super) fn not_published(from: State) -> Self {
        Self {
            from,
            to: Goal::Registered,
        }
    }
}

impl From<State> for Goal {
    fn from(state: State) -> Self {
        match state {
            State::Published => Self::Published,
            State::Withdrawn => Self::Withdrawn,
            State::Disabled => Self::Disabled,
            State::Draft => Self::Changed,
        }
    }
}

impl fmt::Display for WrongState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let advice = match (self.to, self.from) {
            (_, State::Disabled) => "it is disabled for ever: copy it",
            (Goal::Published, _) => "a draft or a withdrawn template is published",
            (Goal::Withdrawn, _) => "a published template is withdrawn",
            (Goal::Disabled, _) => "withdraw it before it is disabled",
            (Goal::Changed, _) => "withdraw it before it is changed",
            (Goal::Registered, _) => "publish it, then register by it",
        };
        write!(f, "the template is {}: {advice}", self.from)
    }
}

impl std::error::Error for WrongState {}

/// Why a template does not get another definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotAmended {
    /// It is in the wrong state.
    State(WrongState),
    /// The definition is not right, or would change what values mean that exist.
    Faults(Vec<Fault>),
}

#[cfg(test)]
mod tests {
    use super::super::field::tests::field;
    use super::super::field::{Kind, Text};
    use super::*;

    fn draft() -> Template {
        let definition = Definition {
            title: "Battery".to_owned(),
            fields: vec![field(0, "serial", Kind::Text(Text::default()))],
            ..Definition::default()
        };
        Template::draft(Handle::parse("88.118.5/META_a").unwrap(), definition).unwrap()
    }

    #[test]
    fn only_the_steps_of_its_life_are_taken() {
        use State::{Disabled, Draft, Published, Withdrawn};
        let all = [Draft, Published, Withdrawn, Disabled];
        let allowed = [
            (Draft, Published),
            (Draft, Disabled),
            (Published, Withdrawn),
            (Withdrawn, Published),
            (Withdrawn, Disabled),
        ];
        for from in all {
            for to in all {
                let template = Template {
                    state: from,
                    ..draft()
                };
                let turned = template.turn(to).map(|template| template.state());
                assert_eq!(
                    turned.is_ok(),
                    allowed.contains(&(from, to)),
                    "{from} to {to}"
                );
                assert!(turned.is_err() || turned == Ok(to));
            }
        }
        let error = draft().turn(Withdrawn).unwrap_err().to_string();
        assert_eq!(
            error,
            "the template is a draft: a published template is withdrawn"
        );
    }

    #[test]
    fn draft_is_changed_at_will_and_a_withdrawn_template_only_by_additions() {
        let mut other = draft().definition().clone();
        other.fields = vec![field(0, "other", Kind::Text(Text::default()))];
        let changed = draft().amend(other.clone()).unwrap();
        assert_eq!(
            (changed.version(), &*changed.definition().fields[0].name),
            (1, "other")
        );

        let published = draft().turn(State::Published).unwrap();
        assert!(matches!(
            published.clone().amend(other.clone()),
            Err(NotAmended::State(_))
        ));
        let withdrawn = published.turn(State::Withdrawn).unwrap();
        assert!(matches!(
            withdrawn.clone().amend(other.clone()),
            Err(NotAmended::Faults(_))
        ));
        let mut more = withdrawn.definition().clone();
        // A field is known by its name, too.
        more.fields[0].index = 0;
        more.fields.extend(other.fields);
        let changed = withdrawn.amend(more).unwrap();
        assert_eq!(
            (changed.version(), changed.definition().fields[1].index),
            (2, 2_001)
        );
    }

    #[test]
    fn copy_is_a_draft_that_says_where_it_comes_from() {
        let handle = Handle::parse("88.118.6/META_b").unwrap();
        let copy = draft().turn(State::Published).unwrap().copy(handle);
        assert_eq!((copy.state(), copy.version()), (State::Draft, 1));
        assert_eq!(copy.based_on().unwrap().as_str(), "88.118.5/META_a");
        assert!(!copy.is_quoted());
    }

    #[test]
    fn quoted_fields_stay_and_the_rest_may_change() {
        let quote = draft().quote(Handle::parse("88.118.6/META_b").unwrap());
        let mut next = quote.definition().clone();
        next.title = "Cell".to_owned();
        assert!(quote.clone().amend(next.clone()).unwrap().is_quoted());
        next.fields[0].label = "序列号".to_owned();
        assert!(matches!(quote.amend(next), Err(NotAmended::Faults(_))));
    }
}
