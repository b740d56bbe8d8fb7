//! Compiles the `.proto` files without a `protoc` to install.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    let services = [
        "cairn/v1/report.proto",
        "cairn/v1/replay.proto",
        "cairn/v1/query.proto",
    ];
    let files = protox::compile(services, ["proto"])?;
    tonic_prost_build::configure()
        .build_transport(false)
        .codec_path("crate::stream::SmallBuffers")
        .compile_fds(files)?;
    Ok(())
}
