//! Bytes from one socket to another without a copy: splice(2) through a pipe. A worker keeps a bounded number of pipes.
#![allow(unsafe_code)]

use super::executor::Core;
use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

/// Pipes of one worker, at two descriptors each. Whoever finds none left receives into buffers.
pub(super) const PIPES_MAX: usize = 64;
/// What one pipe takes at a time, at most.
const PIPE_BYTES: usize = 256 << 10;

/// No fault of the connection: the call itself is refused.
const REFUSED: [i32; 7] =
    [libc::EINVAL, libc::ENOSYS, libc::EPERM, libc::EACCES, libc::EOPNOTSUPP, libc::ENOMEM, libc::EINTR];

/// A worker's pipes: those that wait for work, and how many there are.
#[derive(Default)]
pub(super) struct Pipes {
    idle: RefCell<Vec<Ends>>,
    made: Cell<usize>,
}

struct Ends {
    read: OwnedFd,
    write: OwnedFd,
}

/// Bytes of a socket, held in the kernel. An emptied pipe goes back to its worker, any other is closed with its bytes.
pub struct Pipe {
    ends: Option<Ends>,
    held: usize,
}

impl Pipes {
    /// None: all are out, or the system gives no more.
    fn take(&self) -> Option<Ends> {
        if let Some(ends) = self.idle.borrow_mut().pop() {
            return Some(ends);
        }
        if self.made.get() == PIPES_MAX {
            return None;
        }
        let ends = Ends::new().ok()?;
        self.made.set(self.made.get() + 1);
        Some(ends)
    }

    fn give_back(&self, ends: Option<Ends>) {
        match ends {
            Some(ends) => self.idle.borrow_mut().push(ends),
            None => self.made.set(self.made.get() - 1),
        }
    }

    /// Pipes that are out.
    #[cfg(test)]
    pub(super) fn out(&self) -> usize {
        self.made.get() - self.idle.borrow().len()
    }
}

impl Ends {
    fn new() -> io::Result<Self> {
        let mut fds = [0; 2];
        // SAFETY: the kernel writes two descriptors into the array; they are new and ours alone.
        let ends = unsafe {
            if libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) < 0 {
                return Err(io::Error::last_os_error());
            }
            Self { read: OwnedFd::from_raw_fd(fds[0]), write: OwnedFd::from_raw_fd(fds[1]) }
        };
        // A refusal (fs.pipe-user-pages-soft) leaves the usual 64 KiB: more turns for the same bytes.
        // SAFETY: no memory is passed.
        unsafe { libc::fcntl(ends.write.as_raw_fd(), libc::F_SETPIPE_SZ, PIPE_BYTES as libc::c_int) };
        Ok(ends)
    }
}

impl Pipe {
    /// What has arrived at `socket`, at most `most` bytes. `WouldBlock`: nothing yet. None: the end of the stream, no
    /// pipe to be had, or a socket that cannot do this; receiving tells which. Any other error is the socket's, and is
    /// told only this once.
    pub(super) fn fill(core: &Core, socket: BorrowedFd<'_>, most: usize) -> io::Result<Option<Self>> {
        let Some(ends) = core.pipes.take() else { return Ok(None) };
        let moved = splice(socket.as_raw_fd(), ends.write.as_raw_fd(), most.min(PIPE_BYTES));
        let pipe = Self { ends: Some(ends), held: *moved.as_ref().unwrap_or(&0) };
        match moved {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some(pipe)),
            Err(error) if error.raw_os_error().is_some_and(|code| REFUSED.contains(&code)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends what it can.
    pub(super) fn drain(&mut self, socket: BorrowedFd<'_>) -> io::Result<()> {
        let Some(ends) = &self.ends else { return Ok(()) };
        let moved = splice(ends.read.as_raw_fd(), socket.as_raw_fd(), self.held)?;
        if moved == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.held -= moved;
        Ok(())
    }

    /// Bytes that it holds.
    pub fn len(&self) -> usize {
        self.held
    }

    pub fn is_empty(&self) -> bool {
        self.held == 0
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let ends = self.ends.take().filter(|_| self.held == 0);
        // Without a runtime there is nobody to keep it: it closes.
        Core::try_with(|core| core.pipes.give_back(ends));
    }
}

/// Never waits: both sides are non-blocking. A peer that has gone is EPIPE (a Rust program ignores SIGPIPE).
fn splice(from: i32, to: i32, most: usize) -> io::Result<usize> {
    let flags = libc::SPLICE_F_MOVE | libc::SPLICE_F_NONBLOCK;
    // SAFETY: no memory is passed.
    let moved = unsafe { libc::splice(from, ptr::null_mut(), to, ptr::null_mut(), most, flags) };
    usize::try_from(moved).map_err(|_| io::Error::last_os_error())
}
