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
    /// The consumer waits and was not woken. Waking is a call of the system, whether somebody waits
    /// or not, and most elements come while the consumer is busy with those before.
    asleep: bool,
    /// How many wait until something was taken, or the consumer is idle.
    waiters: usize,
    /// How often somebody was woken.
    #[cfg(test)]
    wakes: usize,
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
                asleep: false,
                waiters: 0,
                #[cfg(test)]
                wakes: 0,
            }),
            filled: Condvar::new(),
            drained: Condvar::new(),
        }
    }

    /// Queues an element, waiting for room. Fails only if the queue is closed.
    pub(crate) fn push(&self, element: T) -> Result<(), Refused<T>> {
        let mut state = self.lock();
        while !state.closed && !state.has_room_for(&element) {
            state = self.wait_drained(state);
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

    /// Queues what there is room for, so that the consumer finds all of it together, and gives back
    /// the rest.
    pub(crate) fn try_push_all(&self, elements: impl Iterator<Item = T>) -> Vec<Refused<T>> {
        let mut refused = Vec::new();
        let mut state = self.lock();
        for element in elements {
            match state.has_room_for(&element) {
                _ if state.closed => refused.push(Refused::Closed(element)),
                true => state.add(element),
                false => refused.push(Refused::Full(element)),
            }
        }
        if !state.elements.is_empty() {
            self.tell_filled(state);
        }
        refused
    }

    fn push_locked(
        &self,
        mut state: MutexGuard<'_, State<T>>,
        element: T,
    ) -> Result<(), Refused<T>> {
        if state.closed {
            return Err(Refused::Closed(element));
        }
        state.add(element);
        self.tell_filled(state);
        Ok(())
    }

    /// Wakes the consumer if it sleeps.
    fn tell_filled(&self, mut state: MutexGuard<'_, State<T>>) {
        if std::mem::take(&mut state.asleep) {
            state.count_wake();
            drop(state);
            self.filled.notify_one();
        }
    }

    /// Takes the elements of the next group, waiting for the first one if `wait_for_one`; an empty
    /// group means that there is nothing yet. `None` if the queue is closed and empty.
    pub(crate) fn take_group(&self, wait_for_one: bool) -> Option<Vec<T>> {
        let mut state = self.lock();
        while state.elements.is_empty() && !state.closed && wait_for_one {
            state.idle = true;
            self.tell_drained(&mut state);
            state.asleep = true;
            state = wait(&self.filled, state);
            state.asleep = false;
        }
        if state.elements.is_empty() && state.closed {
            state.idle = true;
            self.tell_drained(&mut state);
            return None;
        }
        let group = state.take_group();
        self.tell_drained(&mut state);
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
            state = self.wait_drained(state);
        }
    }

    /// Wakes those who wait for room, or for the consumer to be idle.
    fn tell_drained(&self, state: &mut State<T>) {
        if state.waiters > 0 {
            state.count_wake();
            self.drained.notify_all();
        }
    }

    fn wait_drained<'a>(&'a self, mut state: MutexGuard<'a, State<T>>) -> MutexGuard<'a, State<T>> {
        state.waiters += 1;
        let mut state = wait(&self.drained, state);
        state.waiters -= 1;
        state
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
    #[cfg(test)]
    fn count_wake(&mut self) {
        self.wakes += 1;
    }

    #[cfg(not(test))]
    fn count_wake(&mut self) {}

    fn add(&mut self, element: T) {
        self.changes += element.changes();
        self.octets += element.octets();
        self.elements.push_back(element);
        self.idle = false;
    }

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

    /// Waits until the consumer sleeps; it has nothing else to do.
    fn until_asleep(queue: &Queue<Element>) {
        while !queue.lock().asleep {
            std::thread::yield_now();
        }
    }

    #[test]
    fn nobody_is_woken_but_who_waits() {
        let queue = Arc::new(Queue::new());
        for _ in 0..100 {
            assert!(queue.push(Element(1, 1)).is_ok());
        }
        assert_eq!(lens(queue.take_group(true)).len(), 100);
        assert_eq!(queue.lock().wakes, 0);
        for round in 1..=3 {
            let consumer = {
                let queue = queue.clone();
                std::thread::spawn(move || lens(queue.take_group(true)))
            };
            until_asleep(&queue);
            assert!(queue.push(Element(7, 1)).is_ok());
            assert_eq!(consumer.join().unwrap(), [7]);
            assert_eq!(queue.lock().wakes, round);
        }
    }

    #[test]
    fn what_is_queued_together_wakes_once_and_what_has_no_room_comes_back() {
        let queue = Arc::new(Queue::new());
        let consumer = {
            let queue = queue.clone();
            std::thread::spawn(move || lens(queue.take_group(true)))
        };
        until_asleep(&queue);
        let elements = [1, 2, GROUP_CHANGES_MAX - 3].map(|changes| Element(changes, 1));
        assert!(queue.try_push_all(elements.into_iter()).is_empty());
        assert_eq!(consumer.join().unwrap(), [1, 2, GROUP_CHANGES_MAX - 3]);
        assert_eq!(queue.lock().wakes, 1);
        let elements = [QUEUE_CHANGES_MAX, 1].map(|changes| Element(changes, 1));
        let refused = queue.try_push_all(elements.into_iter());
        assert!(matches!(refused[..], [Refused::Full(Element(1, 1))]));
        queue.close();
        let refused = queue.try_push_all([Element(3, 1)].into_iter());
        assert!(matches!(refused[..], [Refused::Closed(Element(3, 1))]));
    }

    #[test]
    fn who_waits_for_an_idle_consumer_is_woken_when_it_is() {
        let queue = Arc::new(Queue::new());
        assert!(queue.push(Element(1, 1)).is_ok());
        let waiter = {
            let queue = queue.clone();
            std::thread::spawn(move || queue.wait_until_idle())
        };
        while queue.lock().waiters == 0 {
            std::thread::yield_now();
        }
        assert_eq!(lens(queue.take_group(true)), [1]);
        let consumer = {
            let queue = queue.clone();
            std::thread::spawn(move || queue.take_group(true).is_none())
        };
        waiter.join().unwrap();
        queue.close();
        assert!(consumer.join().unwrap());
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
