//! The golden suite: everything that can be compared with diffusers, transformers and PyTorch.
//!
//!     cargo test --release --test reference -- [--device cpu|wgpu] [NAME...]
//!
//! The folder named by `FOURSTEP_REFERENCE` (default: the copy in tests/golden/reference, then what it lacks in
//! tests/golden/families, then our own model's goldens in tests/golden/stickers) says through its manifests which cases
//! there are; a case whose kind is not built yet is listed as skipped. One line a case with its worst relative error; the
//! exit status is 1 if any is out of tolerance.

mod common;

use common::{Case, Outcome, Suite};

fn main() {
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for suite in Suite::from_args() {
        println!("reference {} on {}", suite.reference.display(), suite.device_name);
        for Case { name, outcome } in suite.cases() {
            match outcome {
                Outcome::Within(error, tolerance) => {
                    passed += 1;
                    println!("ok      {name:<44} {error:.2e} (at most {tolerance:.0e})");
                }
                Outcome::Off(what) => {
                    failed += 1;
                    println!("FAILED  {name:<44} {what}");
                }
                Outcome::Skipped(why) => {
                    skipped += 1;
                    println!("skipped {name:<44} {why}");
                }
            }
        }
    }
    let verdict = if failed == 0 && passed > 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {passed} passed; {failed} failed; {skipped} ignored; 0 measured; 0 filtered out"
    );
    std::process::exit(i32::from(verdict != "ok"));
}
