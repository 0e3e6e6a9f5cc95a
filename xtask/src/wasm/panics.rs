//! Takes out of a wasm module what prepares the message of a panic. Nobody can read it: in a browser
//! a panic is a trap, and the standard library's hook prints to a standard error that is not there.
//! A panic still traps, at the same place, without a message.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use walrus::{FunctionBuilder, FunctionId, FunctionKind, LocalId, Module, ModuleConfig};

/// Functions of the standard library that never return: parts of their mangled names.
const NEVER_RETURN: &[&str] = &[
    "4core9panicking",
    "4core5slice5index16slice_index_fail",
    "4core3str16slice_error_fail",
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

/// Reads a module and puts a trap in the place of these functions.
pub(super) fn cut(compiled: &Path) -> Result<Module> {
    let mut module = ModuleConfig::new()
        .parse_file(compiled)
        .with_context(|| format!("{} is no wasm module", compiled.display()))?;
    let never_return: Vec<FunctionId> = module
        .funcs
        .iter_local()
        .map(|(id, _)| id)
        .filter(|id| module.funcs.get(*id).name.as_deref().is_some_and(is_never_returning))
        .collect();
    ensure!(
        never_return.len() > 4,
        "the standard library's panics have other names now; mend xtask/src/wasm/panics.rs"
    );
    for id in never_return {
        let signature = module.types.get(module.funcs.get(id).ty());
        let (parameters, results) = (signature.params().to_vec(), signature.results().to_vec());
        let mut trap = FunctionBuilder::new(&mut module.types, &parameters, &results);
        trap.func_body().unreachable();
        let locals: Vec<LocalId> = parameters.iter().map(|kind| module.locals.add(*kind)).collect();
        module.funcs.get_mut(id).kind = FunctionKind::Local(trap.local_func(locals));
    }
    Ok(module)
}

fn is_never_returning(name: &str) -> bool {
    NEVER_RETURN.iter().any(|part| name.contains(part))
}
