//! The binary: arguments in, exit code out.

use std::process::ExitCode;

use convoke_runtime::warden;
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    // A process of our own that watches over another: it needs nothing of all the rest.
    if arguments.by_ref().nth(1).is_some_and(|first| first == warden::COMMAND) {
        return warden::run(arguments).into();
    }
    convoke::cli::main(std::env::args_os().collect())
}
