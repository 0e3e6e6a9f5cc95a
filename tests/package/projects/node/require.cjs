console.log(JSON.stringify(Object.keys(require("@rethread/client"))));
