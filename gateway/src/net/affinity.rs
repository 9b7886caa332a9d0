//! Which core a worker's thread runs on.
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
