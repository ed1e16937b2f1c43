//! Tells the client which compiler built it.

use std::{env, process::Command};

fn main() {
    let output = Command::new(env::var("RUSTC").unwrap())
        .arg("--version")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    println!(
        "cargo::rustc-env=RUSTC_VERSION={}",
        text.split(' ').nth(1).unwrap()
    );
    println!("cargo::rerun-if-changed=build.rs");
}
