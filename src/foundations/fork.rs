//! What happens to random numbers when a process forks: both processes have the same state and draw the same numbers.
//! And how to avoid that.

use crate::random::{Mt19937, WichmannHill, stream};

#[cfg(all(unix, feature = "native"))]
pub use real::fork_and_draw;

// cell: copied-state
/// Two workers start with copies of one state: the first `n` numbers of each.
pub fn draw_from_copies(generator: &WichmannHill, n: usize) -> [Vec<f64>; 2] {
    let mut parent = generator.clone();
    let mut child = generator.clone();
    [(0..n).map(|_| parent.random()).collect(), (0..n).map(|_| child.random()).collect()]
}
// end

// cell: own-streams
/// The cure: a worker makes its generator from the seed and its own number, so no state is copied.
pub fn worker_stream(seed: u64, worker: u64) -> Mt19937 {
    stream(seed, "worker", worker)
}
// end

#[cfg(all(unix, feature = "native"))]
mod real {
    #![allow(unsafe_code)]
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::fd::FromRawFd;
    use std::path::Path;

    use crate::random::WichmannHill;
    use crate::{Error, Result};

    // cell: fork
    /// `os.fork()` as in the lesson: the process continues twice, each with its own copy of the whole memory, including
    /// the generator. Returns the next number of the parent, then that of the child.
    pub fn fork_and_draw(generator: &mut WichmannHill) -> Result<[f64; 2]> {
        let (mut from_child, mut to_parent) = pipe()?;
        // SAFETY: the child only computes, writes eight bytes and exits; it takes no lock and allocates nothing.
        match unsafe { libc::fork() } {
            -1 => Err(system("fork")),
            0 => {
                let written = to_parent.write_all(&generator.random().to_le_bytes());
                // SAFETY: ends the child immediately, without the parent's clean-up.
                unsafe { libc::_exit(i32::from(written.is_err())) }
            }
            child => {
                drop(to_parent);
                let mut bytes = [0; 8];
                let read = from_child.read_exact(&mut bytes);
                // SAFETY: waits for the child created above; no status is requested.
                unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
                read.map_err(Error::io(Path::new("the pipe from the child")))?;
                Ok([generator.random(), f64::from_le_bytes(bytes)])
            }
        }
    }
    // end

    /// The ends for reading and writing.
    fn pipe() -> Result<(File, File)> {
        let mut ends = [0; 2];
        // SAFETY: `ends` has room for the two descriptors, which nobody else owns.
        unsafe {
            if libc::pipe(ends.as_mut_ptr()) != 0 {
                return Err(system("pipe"));
            }
            Ok((File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1])))
        }
    }

    fn system(call: &str) -> Error {
        Error::io(Path::new(call))(std::io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_repeat_and_streams_do_not() {
        let [a, b] = draw_from_copies(&WichmannHill::new(457_428_938_475_u64), 100);
        assert_eq!(a, b);
        let draw =
            |worker| (0..100).map(|_| 0).scan(worker_stream(7, worker), |g, _| Some(g.next_u32())).collect::<Vec<_>>();
        assert!(draw(0).iter().zip(draw(1)).all(|(a, b)| *a != b));
    }

    #[test]
    #[cfg(all(unix, feature = "native"))]
    fn a_real_fork_copies_the_state() {
        let mut generator = WichmannHill::new(457_428_938_475_u64);
        let [parent, child] = fork_and_draw(&mut generator).expect("forks");
        assert_eq!(parent, 0.764_525_108_258_208_1);
        assert_eq!(parent, child);
        assert_eq!(generator.random(), 0.792_088_979_955_394_5, "the parent goes on");
    }
}
