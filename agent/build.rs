//! How the agent's binary is linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // There Rust links with a linker that knows the option, unless it is told otherwise.
    let is_known = is("CARGO_CFG_TARGET_ARCH", "x86_64")
        && is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu");
    if is_known && is("PROFILE", "release") {
        // Functions that came out the same are there once: code is the larger part of an agent's memory.
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
    }
}

/// Whether cargo says so.
fn is(variable: &str, value: &str) -> bool {
    #[expect(
        clippy::disallowed_methods,
        reason = "build scripts are told by their environment"
    )]
    std::env::var(variable).is_ok_and(|found| found == value)
}
