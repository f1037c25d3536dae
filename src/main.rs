//! The command line's entry point.

fn main() -> std::process::ExitCode {
    fourstep::cli::run().into()
}
