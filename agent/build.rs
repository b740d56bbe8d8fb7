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
        // What has to know its own address is told in a tenth of the room. A C library has to be of 2022 or
        // later to read that: only one that is linked into the binary is known to be.
        let features = value("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
        if features.split(',').any(|feature| feature == "crt-static") {
            println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
        }
    }
}

/// Whether cargo says so.
fn is(variable: &str, expected: &str) -> bool {
    value(variable).is_some_and(|found| found == expected)
}

/// What cargo says.
fn value(variable: &str) -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "build scripts are told by their environment"
    )]
    std::env::var(variable).ok()
}
