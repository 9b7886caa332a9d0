//! The pools of receive buffers, the Chunk that borrows one, and what is on its way out.
#![allow(unsafe_code)]

use super::held::Held;
use io_uring::types::BufRingEntry;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::ptr::NonNull;
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicU16, Ordering};

/// A pool doubles, triples... up to this many times its first count before readers have to wait.
pub(super) const SEGMENTS_MAX: usize = 8;
/// So many buffers lie ready for the kernel even in a small pool.
const PROVIDED_MIN: u16 = 32;
const PAGE: usize = 4096;

/// Who waits for a buffer.
pub(super) trait Waiting {
    fn buffer_returned(&self);
}

/// Buffers of one size. The last one returned is the first one used again: few stay warm, the rest stay
/// untouched.
pub(super) struct Pool {
    count: u16,
    size: u32,
    segments: RefCell<Vec<Region>>,
    free: RefCell<Vec<u16>>,
    waiting: RefCell<VecDeque<Weak<dyn Waiting>>>,
    /// With io_uring: the ring from which the kernel picks.
    ring: RefCell<Option<BufferRing>>,
    provided: Cell<u16>,
}

impl Pool {
    pub(super) fn new((count, size): (u16, u32)) -> io::Result<Rc<Self>> {
        if !count.is_power_of_two() || usize::from(count) * SEGMENTS_MAX > 1 << 15 || size == 0 {
            let text = format!("a pool of {count} buffers of {size} bytes: not a power of two, or too many");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let pool = Self {
            count,
            size,
            segments: RefCell::default(),
            free: RefCell::default(),
            waiting: RefCell::default(),
            ring: RefCell::default(),
            provided: Cell::new(0),
        };
        pool.grow();
        Ok(Rc::new(pool))
    }

    pub(super) fn size(&self) -> u32 {
        self.size
    }

    /// A buffer for the caller to fill; None when all are out.
    pub(super) fn take(self: &Rc<Self>) -> Option<Chunk> {
        if self.free.borrow().is_empty() {
            self.grow();
        }
        let id = self.free.borrow_mut().pop()?;
        Some(self.chunk(id, self.size))
    }

    /// The buffer `id`, which the kernel took from the ring and filled with `len` bytes.
    pub(super) fn taken(self: &Rc<Self>, id: u16, len: u32) -> Chunk {
        self.provided.set(self.provided.get() - 1);
        self.chunk(id, len)
    }

    fn chunk(self: &Rc<Self>, id: u16, len: u32) -> Chunk {
        let base = self.base(id);
        Chunk { store: Store::Pooled { pool: self.clone(), id, base }, start: 0, end: len.min(self.size) }
    }

    /// Could a reader get a buffer now?
    pub(super) fn has_buffers(&self) -> bool {
        self.provided.get() > 0
            || !self.free.borrow().is_empty()
            || self.segments.borrow().len() < SEGMENTS_MAX
    }

    /// Less than half is left of what the pool may grow to: many hold buffers for long, and the rest is for
    /// those who do not.
    pub(super) fn is_scarce(&self) -> bool {
        let most = SEGMENTS_MAX * usize::from(self.count);
        let unborn = most - self.segments.borrow().len() * usize::from(self.count);
        usize::from(self.provided.get()) + self.free.borrow().len() + unborn < most / 2
    }

    /// Tells `reader` when buffers have come back.
    pub(super) fn wait(&self, reader: Weak<dyn Waiting>) {
        let mut waiting = self.waiting.borrow_mut();
        // Those that gave up and closed are swept out before the queue would have to be enlarged.
        if waiting.len() == waiting.capacity() {
            waiting.retain(|reader| reader.strong_count() > 0);
        }
        waiting.push_back(reader);
    }

    /// Once per turn: one reader for each buffer that is there.
    pub(super) fn wake_waiting(&self) {
        if self.waiting.borrow().is_empty() {
            return;
        }
        let mut buffers = usize::from(self.provided.get()) + self.free.borrow().len();
        while buffers > 0 {
            let Some(reader) = self.waiting.borrow_mut().pop_front() else { return };
            if let Some(reader) = reader.upgrade() {
                reader.buffer_returned();
                buffers -= 1;
            }
        }
    }

    /// Buffers that nobody holds, and buffers in all.
    #[cfg(test)]
    pub(super) fn census(&self) -> (usize, usize) {
        let free = usize::from(self.provided.get()) + self.free.borrow().len();
        (free, self.segments.borrow().len() * usize::from(self.count))
    }

    fn grow(&self) {
        let mut segments = self.segments.borrow_mut();
        if segments.len() == SEGMENTS_MAX {
            return;
        }
        let first = segments.len() as u16 * self.count;
        segments.push(Region::new(usize::from(self.count) * self.size as usize));
        self.free.borrow_mut().extend((first..first + self.count).rev());
    }

    fn base(&self, id: u16) -> NonNull<u8> {
        let segments = self.segments.borrow();
        let offset = usize::from(id % self.count) * self.size as usize;
        // SAFETY: a segment holds `count` buffers of `size` bytes, so the offset lies inside of it.
        unsafe { segments[usize::from(id / self.count)].start.add(offset) }
    }

    /// Lets the kernel pick from this pool through a provided-buffer ring; `register` gives it to the kernel.
    pub(super) fn provide(&self, register: impl FnOnce(u64, u16) -> io::Result<()>) -> io::Result<()> {
        let region = Region::new(usize::from(self.count) * size_of::<BufRingEntry>());
        register(region.start.as_ptr() as u64, self.count)?;
        *self.ring.borrow_mut() = Some(BufferRing { region, mask: self.count - 1, tail: 0 });
        self.top_up();
        Ok(())
    }

    /// Once per turn: fills the kernel's ring again.
    pub(super) fn top_up(&self) {
        let mut ring = self.ring.borrow_mut();
        let Some(ring) = ring.as_mut() else { return };
        // The kernel goes around in its ring: a short one keeps the buffers in the processor's cache.
        let full = self.count.min(PROVIDED_MIN.max(self.count / 4));
        let room = full - self.provided.get();
        if room == 0 {
            return;
        }
        if self.free.borrow().is_empty() && self.provided.get() <= full / 8 {
            self.grow();
        }
        let mut free = self.free.borrow_mut();
        let mut added = 0;
        while added < room
            && let Some(id) = free.pop()
        {
            ring.put(added, self.base(id), self.size, id);
            added += 1;
        }
        ring.publish(added);
        self.provided.set(self.provided.get() + added);
    }
}

/// The memory that the kernel reads buffer addresses from (io_uring_register_buf_ring(3)).
struct BufferRing {
    region: Region,
    mask: u16,
    tail: u16,
}

impl BufferRing {
    fn put(&mut self, ahead: u16, base: NonNull<u8>, size: u32, id: u16) {
        let index = usize::from(self.tail.wrapping_add(ahead) & self.mask);
        // SAFETY: the region holds mask + 1 entries, zeroed at first (a valid entry), and the kernel does not
        // read an entry before `publish` moved the tail past it.
        let entry = unsafe { self.region.start.cast::<BufRingEntry>().add(index).as_mut() };
        entry.set_addr(base.as_ptr() as u64);
        entry.set_len(size);
        entry.set_bid(id);
    }

    fn publish(&mut self, added: u16) {
        self.tail = self.tail.wrapping_add(added);
        // SAFETY: the tail lies in the first entry of the region, is aligned, and is only written here; the
        // kernel reads it with acquire semantics.
        let tail =
            unsafe { AtomicU16::from_ptr(BufRingEntry::tail(self.region.start.cast().as_ptr()).cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }
}

/// Page-aligned zeroed memory.
struct Region {
    start: NonNull<u8>,
    layout: Layout,
}

impl Region {
    fn new(bytes: usize) -> Self {
        #[allow(clippy::expect_used)] // at most 2^15 buffers of a u32 size: far from isize::MAX
        let layout = Layout::from_size_align(bytes, PAGE).expect("the size of a pool fits the address space");
        // SAFETY: the size is not zero: pools have at least one buffer of at least one byte.
        let Some(start) = NonNull::new(unsafe { alloc_zeroed(layout) }) else { handle_alloc_error(layout) };
        Self { start, layout }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout; the ring's drain ends every kernel access before this.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}

/// Received bytes in a pooled buffer, which goes back to its pool on drop.
pub struct Chunk {
    store: Store,
    start: u32,
    end: u32,
}

enum Store {
    Pooled { pool: Rc<Pool>, id: u16, base: NonNull<u8> },
    Heap(Box<[u8]>, #[allow(dead_code)] Held), // counted until it is dropped
}

impl Chunk {
    pub fn as_slice(&self) -> &[u8] {
        let (start, len) = (self.start as usize, (self.end - self.start) as usize);
        match &self.store {
            // SAFETY: start <= end <= the buffer's size, the memory was zeroed at first, and nobody else
            // touches the buffer while this Chunk holds it.
            Store::Pooled { base, .. } => unsafe {
                std::slice::from_raw_parts(base.as_ptr().add(start), len)
            },
            Store::Heap(bytes, _) => &bytes[start..start + len],
        }
    }

    /// Drops the first `n` bytes.
    pub fn advance(&mut self, n: usize) {
        let left = (self.end - self.start) as usize;
        assert!(n <= left, "a Chunk of {left} bytes cannot lose {n}");
        self.start += n as u32;
    }

    /// Drops everything past the first `n` bytes.
    pub fn truncate(&mut self, n: usize) {
        if n < (self.end - self.start) as usize {
            self.end = self.start + n as u32;
        }
    }

    /// The whole buffer, to be filled from outside.
    pub(super) fn as_mut_slice(&mut self) -> &mut [u8] {
        let (start, len) = (self.start as usize, (self.end - self.start) as usize);
        match &mut self.store {
            // SAFETY: as in `as_slice`, and `&mut self` makes this the only view.
            Store::Pooled { base, .. } => unsafe {
                std::slice::from_raw_parts_mut(base.as_ptr().add(start), len)
            },
            Store::Heap(bytes, _) => &mut bytes[start..start + len],
        }
    }

    /// The same bytes outside of the pool.
    pub(super) fn into_heap(self) -> Self {
        let bytes: Box<[u8]> = self.as_slice().into();
        let end = self.end - self.start;
        let held = Held::of(bytes.len());
        Self { store: Store::Heap(bytes, held), start: 0, end }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if let Store::Pooled { pool, id, .. } = &self.store {
            pool.free.borrow_mut().push(*id);
        }
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chunk({} bytes)", self.end - self.start)
    }
}

/// Storage for the next bytes to be posted: a connection keeps none, and the last one used is still in the cache.
#[derive(Default)]
pub(super) struct Spare(RefCell<Vec<Vec<u8>>>);

impl Spare {
    const KEPT_MAX: usize = 64;
    const KEPT_BYTES: usize = 8192;

    pub(super) fn give(&self, mut storage: Vec<u8>) {
        let mut kept = self.0.borrow_mut();
        if kept.len() < Self::KEPT_MAX && storage.capacity() <= Self::KEPT_BYTES {
            storage.clear();
            kept.push(storage);
        }
    }

    pub(super) fn take(&self) -> Vec<u8> {
        self.0.borrow_mut().pop().unwrap_or_default()
    }
}

/// Bytes that are on their way out, owned by the operation until the kernel is done with them.
#[derive(Debug, Default)]
pub enum Outgoing {
    #[default]
    Empty,
    Static(&'static [u8]),
    Vec(Vec<u8>),
    Shared(bytes::Bytes),
    Chunk(Chunk),
}

impl Outgoing {
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Empty => &[],
            Self::Static(bytes) => bytes,
            Self::Vec(bytes) => bytes,
            Self::Shared(bytes) => bytes,
            Self::Chunk(chunk) => chunk.as_slice(),
        }
    }
}
