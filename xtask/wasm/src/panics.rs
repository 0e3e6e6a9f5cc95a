//! Takes out of a wasm module what prepares the message of a panic: the functions that panic, and the
//! formatting of text that they need. Nobody can read the message: in a browser a panic is a trap, and
//! the standard library's hook prints to a standard error that is not there. A panic still traps.
//!
//! The texts of the messages are blanked as well, and the names of source files in them, which would
//! also carry the paths of the machine that built the package.
//!
//! Formatting can be taken out only because nothing else uses it, and that is checked: a function that
//! calls into it and is not itself part of it fails the build.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use walrus::{
    Data, FunctionBuilder, FunctionId, FunctionKind, LocalId, Module, ModuleConfig,
    ir::{Call, Visitor, dfs_in_order},
};

/// Functions of the standard library that never return: parts of their mangled names.
const NEVER_RETURN: &[&str] = &[
    "4core9panicking",
    "4core5slice5index16slice_index_fail",
    "4core3str16slice_error_fail",
    "4core3str19slice_error_fail_rt",
    "4core6option13expect_failed",
    "4core6option13unwrap_failed",
    "4core6result13unwrap_failed",
    "4core4cell22panic_already_borrowed",
    "4core4cell30panic_already_mutably_borrowed",
    "5alloc7raw_vec12handle_error",
    "5alloc7raw_vec17capacity_overflow",
    "3std9panicking15panic_with_hook",
    "3std9panicking13panic_handler",
    "rust_begin_unwind",
];

/// The standard library's formatting: parts of mangled names, of both manglings.
const FORMATTING: &[&str] = &[
    "4core3fmt",
    "core..fmt..",
    "5alloc3fmt",
    "3num3fmt",
    "3fmt5Debug3fmt",
    "3fmt7Display3fmt",
    "alloc..string..ToString",
];

/// Texts that only those functions show.
const TEXTS: &[&str] = &[
    "slice index starts at ",
    " but ends at ",
    "index out of bounds: the len is ",
    " but the index is ",
    "range start index ",
    "range end index ",
    " out of range for slice of length ",
    "copy_from_slice: source slice length (",
    ") does not match destination slice length (",
    "insertion index (is ",
    ") should be <= len (is ",
    "removal index (is ",
    ") should be < len (is ",
    "called `Result::unwrap()` on an `Err` value",
    "called `Option::unwrap()` on a `None` value",
    "internal error: entered unreachable code",
    "cannot access a Thread Local Storage value during or after destruction: ",
    "attempt to join into collection with len > usize::MAX",
    "attempt to calculate the remainder with a divisor of zero",
    "`async fn` resumed after completion",
    "LazyCell instance has previously been poisoned",
    "RefCell already mutably borrowed",
    "RefCell already borrowed",
    "Hash table capacity overflow",
    "capacity overflow",
    // The two digits of every number below a hundred.
    "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748\
     49505152535455565758596061626364656667686970717273747576777879808182838485868788899091929394959697\
     9899",
];

/// Whether a module formats text for other purposes than panics.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Formats {
    /// It does not, and the formatting goes as well.
    Nothing,
    /// It does: serde makes its errors that way.
    Errors,
}

/// Reads a module and puts a trap in the place of these functions.
pub(super) fn cut(compiled: &Path, formats: Formats) -> Result<Module> {
    let mut module = ModuleConfig::new()
        .parse_file(compiled)
        .with_context(|| format!("{} is no wasm module", compiled.display()))?;
    let never_return = functions(&module, NEVER_RETURN);
    ensure!(
        never_return.len() > 4,
        "the standard library's panics have other names now; mend xtask/wasm/src/panics.rs"
    );
    let formatting = match formats {
        Formats::Nothing => functions(&module, FORMATTING),
        Formats::Errors => Vec::new(),
    };
    refuse_formatting(&module, &formatting, &never_return)?;
    for id in never_return.into_iter().chain(formatting) {
        let signature = module.types.get(module.funcs.get(id).ty());
        let (parameters, results) = (signature.params().to_vec(), signature.results().to_vec());
        let mut trap = FunctionBuilder::new(&mut module.types, &parameters, &results);
        trap.func_body().unreachable();
        let locals: Vec<LocalId> = parameters.iter().map(|kind| module.locals.add(*kind)).collect();
        module.funcs.get_mut(id).kind = FunctionKind::Local(trap.local_func(locals));
    }
    let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo = cargo.or_else(|| Some(std::env::home_dir()?.join(".cargo"))).unwrap_or_default();
    let registry = cargo.join("registry/src/");
    let registry = registry.to_string_lossy();
    let folders = ["/rustc/", "/rust/deps/", "client/src/", "client-wasm/src/", "shared/src/"];
    let segments: Vec<_> = module.data.iter().map(Data::id).collect();
    for segment in segments {
        let data = module.data.get_mut(segment);
        for folder in folders.iter().copied().chain([&*registry]) {
            blank_paths(&mut data.value, folder);
        }
        for text in TEXTS.iter().filter(|_| formats == Formats::Nothing) {
            while let Some(at) = find(&data.value, text.as_bytes()) {
                data.value[at..at + text.len()].fill(0);
            }
        }
    }
    Ok(module)
}

/// Puts zeros in the place of every path of a Rust source below `folder`.
fn blank_paths(bytes: &mut [u8], folder: &str) {
    let is_of_path = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-".contains(byte);
    let mut at = 0;
    while let Some(found) = find(&bytes[at..], folder.as_bytes()) {
        let start = at + found;
        at = start + folder.len();
        let length = bytes[start..].iter().take_while(|byte| is_of_path(byte)).count();
        if let Some(end) = find(&bytes[start..start + length], b".rs") {
            at = start + end + ".rs".len();
            bytes[start..at].fill(0);
        }
    }
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

/// Fails when a function that stays calls one that goes.
fn refuse_formatting(
    module: &Module,
    formatting: &[FunctionId],
    never_return: &[FunctionId],
) -> Result<()> {
    let name = |id: FunctionId| module.funcs.get(id).name.as_deref().unwrap_or("?");
    for (caller, function) in module.funcs.iter_local() {
        if formatting.contains(&caller) || never_return.contains(&caller) {
            continue;
        }
        let mut calls = Calls::default();
        dfs_in_order(&mut calls, function, function.entry_block());
        if let Some(called) = calls.0.iter().find(|called| formatting.contains(called)) {
            bail!(
                "{} formats text (it calls {}): do without `format!` and `to_string` there, or \
                 leave FORMATTING in and make room for it in the budget (xtask/wasm/src/panics.rs)",
                name(caller),
                name(*called)
            );
        }
    }
    Ok(())
}

#[derive(Default)]
struct Calls(Vec<FunctionId>);

impl<'a> Visitor<'a> for Calls {
    fn visit_call(&mut self, call: &Call) {
        self.0.push(call.func);
    }
}

fn functions(module: &Module, parts: &[&str]) -> Vec<FunctionId> {
    let is_one = |name: &str| parts.iter().any(|part| name.contains(part));
    let named = module.funcs.iter_local().map(|(id, _)| id);
    named.filter(|id| module.funcs.get(*id).name.as_deref().is_some_and(is_one)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_sources_are_blanked() {
        let mut data = *b"see client/src/a.rsclient/src/b/c.rs, client/src/ and unauthorized";
        blank_paths(&mut data, "client/src/");
        let left = String::from_utf8_lossy(&data).replace('\0', "");
        assert_eq!(left, "see , client/src/ and unauthorized");
    }
}
