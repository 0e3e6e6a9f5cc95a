const before = new Set(Object.getOwnPropertyNames(globalThis));
const client = await import("@rethread/client");
const react = await import("@rethread/client/react");
const globals = Object.getOwnPropertyNames(globalThis).filter((name) => !before.has(name));
console.log(JSON.stringify({ exports: Object.keys(client), hooks: Object.keys(react), globals }));
