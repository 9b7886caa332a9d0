//! Which core a worker's thread runs on, who gives way to it, and which pages memory comes in.
#![allow(unsafe_code)]

/// Pins the calling thread to the `number`th core that this process may use (in turn). Where that is refused, the
/// scheduler decides: slower, not wrong.
pub fn pin_thread(number: usize) {
    // SAFETY: both calls read or write only the set that is passed with its size; the CPU_* macros' indices stay
    // below CPU_SETSIZE.
    unsafe {
        let mut allowed: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut allowed) != 0 {
            return;
        }
        let cores: Vec<usize> =
            (0..libc::CPU_SETSIZE as usize).filter(|core| libc::CPU_ISSET(*core, &allowed)).collect();
        if cores.is_empty() {
            return;
        }
        let mut one: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cores[number % cores.len()], &mut one);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &one);
    }
}

/// This process, and whatever it starts, gets memory in small pages alone. An allocator asks for huge ones (2 MiB), of
/// which many small objects use a part: with 9,000 idle connections half of the memory was unused, and 5,000 routes
/// were served no faster for it. Where that is refused, it goes on as before.
pub fn small_pages() {
    // SAFETY: no memory is passed.
    unsafe {
        libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0);
    }
}

/// The calling thread, and whatever it starts, has the time that others leave, and a 70th of a core that is busy for
/// ever: slow, never starved. It may be stopped after 100 µs (Linux 6.12; a few ms before) by whoever wakes up. Where
/// that is refused, it goes on as before.
pub fn give_way() {
    const LEAST: i32 = 19;
    const TURN_NS: u64 = 100_000;
    // SAFETY: the structure is plain numbers, all zero is its valid default, and the kernel reads as much of it as its
    // size says.
    unsafe {
        let mut wanted: libc::sched_attr = std::mem::zeroed();
        wanted.size = size_of::<libc::sched_attr>() as u32;
        wanted.sched_policy = libc::SCHED_BATCH as u32;
        wanted.sched_nice = LEAST;
        wanted.sched_runtime = TURN_NS;
        libc::syscall(libc::SYS_sched_setattr, 0, &raw const wanted, 0);
    }
}
