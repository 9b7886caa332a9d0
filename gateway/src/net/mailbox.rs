//! A bounded queue from any thread into a worker's loop.

use super::executor::Core;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// A bounded queue from any thread into a worker's loop; wakes it by the loop's eventfd.
pub fn mailbox<T: Send + 'static>(capacity: usize) -> io::Result<(MailSender<T>, MailReceiver<T>)> {
    let queue = Queue { messages: VecDeque::new(), waker: None, senders: 1, closed: false };
    let shared = Arc::new(Shared { queue: Mutex::new(queue), capacity });
    Ok((MailSender(shared.clone()), MailReceiver(shared)))
}

struct Shared<T> {
    queue: Mutex<Queue<T>>,
    capacity: usize,
}

struct Queue<T> {
    messages: VecDeque<T>,
    waker: Option<Waker>,
    senders: usize,
    closed: bool,
}

impl<T> Shared<T> {
    /// No code of others runs under the lock, so a poisoned queue is a whole queue.
    fn lock(&self) -> MutexGuard<'_, Queue<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Cheap to clone, Send + Sync. The receiver is Send (made on the control thread), used inside `block_on`.
pub struct MailSender<T>(Arc<Shared<T>>);
pub struct MailReceiver<T>(Arc<Shared<T>>);

impl<T: Send + 'static> MailSender<T> {
    /// Gives the message back when the queue is full or the receiver is gone.
    pub fn send(&self, message: T) -> Result<(), T> {
        let mut queue = self.0.lock();
        if queue.closed || queue.messages.len() >= self.0.capacity {
            return Err(message);
        }
        queue.messages.push_back(message);
        let waker = queue.waker.take();
        drop(queue);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }
}

impl<T> Clone for MailSender<T> {
    fn clone(&self) -> Self {
        self.0.lock().senders += 1;
        Self(self.0.clone())
    }
}

impl<T> Drop for MailSender<T> {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        queue.senders -= 1;
        let waker = if queue.senders == 0 { queue.waker.take() } else { None };
        drop(queue);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T: Send + 'static> MailReceiver<T> {
    /// None once every sender is gone.
    pub async fn recv(&mut self) -> Option<T> {
        poll_fn(|cx| {
            if !Core::with(|core| core.may_go_on(cx)) {
                return Poll::Pending;
            }
            let mut queue = self.0.lock();
            if let Some(message) = queue.messages.pop_front() {
                return Poll::Ready(Some(message));
            }
            if queue.senders == 0 {
                return Poll::Ready(None);
            }
            queue.waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}

impl<T> Drop for MailReceiver<T> {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        queue.closed = true;
        queue.waker = None;
        // Messages may run code of others when they drop: not under the lock.
        let messages = std::mem::take(&mut queue.messages);
        drop(queue);
        drop(messages);
    }
}
