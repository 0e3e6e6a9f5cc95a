import { renderToStaticMarkup } from "react-dom/server";
import { expect, test } from "vitest";

import { Markdown } from "../src/ui/Markdown";

const html = (text: string): string =>
  renderToStaticMarkup(<Markdown text={text} />).replace(/^<div class="prose">(.*)<\/div>$/s, "$1");

test.each([
  ["one\n\ntwo", "<p>one</p><p>two</p>"],
  ["**bold** *soft* `code` ~~gone~~", "<p><strong>bold</strong> <em>soft</em> <code>code</code> <del>gone</del></p>"],
  ["- a\n- b\n  - c", "<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul>"],
  ["3. a\n4. b", '<ol start="3"><li>a</li><li>b</li></ol>'],
  ["# Title", "<h3>Title</h3>"],
  ["> said", "<blockquote><p>said</p></blockquote>"],
  ["```rust\nlet a = 1 < 2;\n```", '<pre tabindex="0"><code>let a = 1 &lt; 2;</code></pre>'],
  ["AT&amp;T &lt;b&gt; 1 < 2", "<p>AT&amp;T &lt;b&gt; 1 &lt; 2</p>"],
])("draws %j", (text, expected) => {
  expect(html(text)).toBe(expected);
});

test("an unfinished code block, as it stands while it streams, is already one", () => {
  expect(html("```\nlet a")).toBe('<pre tabindex="0"><code>let a</code></pre>');
});

test("links go only where a browser may follow them", () => {
  const safe = ' target="_blank" rel="noopener noreferrer nofollow"';
  expect(html("[a](https://example.com/)")).toBe(`<p><a href="https://example.com/"${safe}>a</a></p>`);
  for (const bad of ["javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "README.md", "//example.com"]) {
    expect(html(`[a](${bad})`)).not.toContain("<a ");
  }
});

test("HTML stays text and images are not fetched", () => {
  for (const text of ['<img src=x onerror="alert(1)">', "a <script>alert(1)</script> b", "![seen](https://example.com/x.png)"]) {
    expect(html(text)).not.toMatch(/<(img|script)/);
  }
  expect(html("a <b>b</b>")).toBe("<p>a &lt;b&gt;b&lt;/b&gt;</p>");
});

test.each([
  ["quotes beyond the lexer's stack", ">".repeat(4001)],
  ["quotes that the lexer bears", ">".repeat(200)],
  ["emphasis", `${"**a *b ".repeat(200)}${"c* d** ".repeat(200)}`],
  ["lists", Array.from({ length: 100 }, (_, depth) => `${"  ".repeat(depth)}- a`).join("\n")],
  ["length", "a ".repeat(15_001)],
])("a text that is too much is shown as it is: %s", (_, text) => {
  expect(html(text)).toMatch(/^<pre class="plain">[^<]*<\/pre>$/);
});

test("nesting as people write it is drawn", () => {
  expect(html("> > > - a **b _c_**")).toContain("<strong>b <em>c</em></strong>");
});
