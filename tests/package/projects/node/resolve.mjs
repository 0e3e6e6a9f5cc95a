const found = {};
for (const name of [".", "./react", "./wasm", "./view-wasm", "./fallback-wasm", "./package.json", "./view.js"]) {
  try {
    found[name] = import.meta.resolve(`@rethread/client${name.slice(1)}`);
  } catch ({ code }) {
    found[name] = code;
  }
}
console.log(JSON.stringify(found));
