//! Puts the built page into the binary.
//!
//! The page is built by `make web` (npm and Vite) into `web/dist`. Without it the binary still
//! builds, so that the Rust side needs no npm, and answers `/` with how to build the page.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=web/dist");
    let root = folder("CARGO_MANIFEST_DIR")?.join("web/dist");
    let out = folder("OUT_DIR")?;
    let mut files = Vec::new();
    if root.join("index.html").is_file() {
        list(&root, &mut files)?;
    } else {
        println!("cargo::warning=the page is not built (make web): / will say so");
        let page = out.join("index.html");
        fs::write(
            &page,
            "<!doctype html><title>Cairn</title><p>This binary was built without its page. Run <code>make web</code>, then build it again.</p>",
        )?;
        files.push((page, "index.html".to_owned()));
    }
    files.sort();
    let mut code = String::from("static ASSETS: &[Asset] = &[\n");
    for (file, path) in files {
        writeln!(
            code,
            "    Asset {{ path: {path:?}, content_type: {:?}, body: include_bytes!({:?}) }},",
            content_type(&path),
            file.display().to_string(),
        )?;
    }
    code.push_str("];\n");
    fs::write(out.join("assets.rs"), code)?;
    Ok(())
}

/// A folder that cargo names.
fn folder(variable: &str) -> Result<PathBuf, env::VarError> {
    #[expect(
        clippy::disallowed_methods,
        reason = "build scripts are told by their environment"
    )]
    env::var(variable).map(PathBuf::from)
}

fn list(root: &Path, files: &mut Vec<(PathBuf, String)>) -> io::Result<()> {
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(name) = path.strip_prefix(root) {
                let name = name.to_string_lossy().replace('\\', "/");
                files.push((path, name));
            }
        }
    }
    Ok(())
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("json") => "application/json",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}
