//! The bounded queue between the callers and the writer.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::limits::{GROUP_CHANGES_MAX, GROUP_OCTETS_MAX, QUEUE_CHANGES_MAX, QUEUE_OCTETS_MAX};

//----------- Load -----------------------------------------------------------

/// What an element of the queue weighs.
pub(crate) trait Load {
    /// Number of changes.
    fn changes(&self) -> usize;
    /// Octets of names and values.
    fn octets(&self) -> usize;
}

//----------- Queue ----------------------------------------------------------

/// A queue that holds [`QUEUE_CHANGES_MAX`] changes or [`QUEUE_OCTETS_MAX`] octets.
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    /// Something was queued, or the queue was closed.
    filled: Condvar,
    /// Something was taken, or the queue was closed, or the consumer became idle.
    drained: Condvar,
}

struct State<T> {
    elements: VecDeque<T>,
    changes: usize,
    octets: usize,
    closed: bool,
    /// The consumer waits and has nothing left to do.
    idle: bool,
}

/// Why an element was not queued; it comes back.
pub(crate) enum Refused<T> {
    Full(T),
    Closed(T),
}

impl<T: Load> Queue<T> {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                elements: VecDeque::new(),
                changes: 0,
                octets: 0,
                closed: false,
                idle: false,
            }),
            filled: Condvar::new(),
            drained: Condvar::new(),
        }
    }

    /// Queues an element, waiting for room. Fails only if the queue is closed.
    pub(crate) fn push(&self, element: T) -> Result<(), Refused<T>> {
        let mut state = self.lock();
        while !state.closed && !state.has_room_for(&element) {
            state = wait(&self.drained, state);
        }
        self.push_locked(state, element)
    }

    /// Queues an element if there is room.
    pub(crate) fn try_push(&self, element: T) -> Result<(), Refused<T>> {
        let state = self.lock();
        match state.closed || state.has_room_for(&element) {
            true => self.push_locked(state, element),
            false => Err(Refused::Full(element)),
        }
    }

    fn push_locked(
        &self,
        mut state: MutexGuard<'_, State<T>>,
        element: T,
    ) -> Result<(), Refused<T>> {
        if state.closed {
            return Err(Refused::Closed(element));
        }
        state.changes += element.changes();
        state.octets += element.octets();
        state.elements.push_back(element);
        state.idle = false;
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// Takes the elements of the next group, waiting for the first one if `wait_for_one`; an empty
    /// group means that there is nothing yet. `None` if the queue is closed and empty.
    pub(crate) fn take_group(&self, wait_for_one: bool) -> Option<Vec<T>> {
        let mut state = self.lock();
        while state.elements.is_empty() && !state.closed && wait_for_one {
            state.idle = true;
            self.drained.notify_all();
            state = wait(&self.filled, state);
        }
        if state.elements.is_empty() && state.closed {
            state.idle = true;
            self.drained.notify_all();
            return None;
        }
        let group = state.take_group();
        drop(state);
        self.drained.notify_all();
        Some(group)
    }

    /// Refuses elements from now on; what is queued can still be taken.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
        self.drained.notify_all();
    }

    /// Closes the queue and drops what is in it: the consumer is gone.
    pub(crate) fn abandon(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.idle = true;
        let elements = std::mem::take(&mut state.elements);
        (state.changes, state.octets) = (0, 0);
        drop(state);
        self.filled.notify_all();
        self.drained.notify_all();
        drop(elements);
    }

    /// Waits until the queue is empty and the consumer waits for more.
    pub(crate) fn wait_until_idle(&self) {
        let mut state = self.lock();
        while !(state.idle && state.elements.is_empty()) {
            state = wait(&self.drained, state);
        }
    }

    /// Changes and octets that wait.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let state = self.lock();
        (state.changes, state.octets)
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Counts and elements change together without a chance to panic in between.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Load> State<T> {
    fn has_room_for(&self, element: &T) -> bool {
        // One batch always fits into an empty queue; its own limits see to that.
        self.elements.is_empty()
            || (self.changes + element.changes() <= QUEUE_CHANGES_MAX
                && self.octets + element.octets() <= QUEUE_OCTETS_MAX)
    }

    fn take_group(&mut self) -> Vec<T> {
        let mut group = Vec::new();
        let (mut changes, mut octets) = (0, 0);
        while let Some(next) = self.elements.front() {
            changes += next.changes();
            octets += next.octets();
            if !group.is_empty() && (changes > GROUP_CHANGES_MAX || octets > GROUP_OCTETS_MAX) {
                break;
            }
            self.changes -= next.changes();
            self.octets -= next.octets();
            group.extend(self.elements.pop_front());
        }
        group
    }
}

fn wait<'a, T>(condition: &Condvar, state: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condition
        .wait(state)
        .unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    struct Element(usize, usize);

    impl Load for Element {
        fn changes(&self) -> usize {
            self.0
        }

        fn octets(&self) -> usize {
            self.1
        }
    }

    fn lens(group: Option<Vec<Element>>) -> Vec<usize> {
        group.unwrap().iter().map(|element| element.0).collect()
    }

    #[test]
    fn group_ends_at_its_limits_and_takes_at_least_one() {
        let queue = Queue::new();
        for changes in [10, GROUP_CHANGES_MAX, 1, 2] {
            assert!(queue.push(Element(changes, 1)).is_ok());
        }
        assert!(queue.push(Element(3, GROUP_OCTETS_MAX + 1)).is_ok());
        assert_eq!(lens(queue.take_group(true)), [10]);
        assert_eq!(lens(queue.take_group(true)), [GROUP_CHANGES_MAX]);
        assert_eq!(lens(queue.take_group(true)), [1, 2]);
        assert_eq!(lens(queue.take_group(true)), [3]);
        assert_eq!(queue.waiting(), (0, 0));
        assert_eq!(lens(queue.take_group(false)), [0; 0]);
    }

    #[test]
    fn full_queue_refuses_or_makes_the_caller_wait() {
        let queue = Arc::new(Queue::new());
        assert!(queue.push(Element(QUEUE_CHANGES_MAX, 0)).is_ok());
        assert!(matches!(
            queue.try_push(Element(1, 0)),
            Err(Refused::Full(Element(1, 0)))
        ));
        let pusher = {
            let queue = queue.clone();
            std::thread::spawn(move || queue.push(Element(7, 0)).is_ok())
        };
        assert_eq!(lens(queue.take_group(true)), [QUEUE_CHANGES_MAX]);
        assert!(pusher.join().unwrap());
        assert_eq!(lens(queue.take_group(true)), [7]);
    }

    #[test]
    fn closed_queue_gives_what_it_has_and_takes_no_more() {
        let queue = Queue::new();
        assert!(queue.push(Element(1, 0)).is_ok());
        queue.close();
        assert!(matches!(
            queue.push(Element(2, 0)),
            Err(Refused::Closed(Element(2, 0)))
        ));
        assert_eq!(lens(queue.take_group(true)), [1]);
        assert!(queue.take_group(true).is_none());
    }
}
