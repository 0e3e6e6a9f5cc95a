//! The page is part of the binary: when it is built, or built anew, so is the server.

use std::path::Path;

fn main() {
    let page = "../www/dist";
    // What is not there cannot be watched; its folder can.
    let watched = if Path::new(page).is_dir() { page } else { "../www" };
    println!("cargo::rerun-if-changed={watched}");
}
