import { lexer, type Token, type Tokens } from "marked";
import { createElement, Fragment, memo, type ReactNode, useMemo, useRef } from "react";

/** Characters beyond which a text is shown as it is: its structure would be worked out every frame. */
const STRUCTURED_CHARS_MAX = 30_000;
/** Milliseconds after which a text that still grows is shown as it is, until it is complete. */
const STRUCTURE_MS_MAX = 50;
/** How deep a text's structure may be: what is drawn calls itself once for each level. */
const DEPTH_MAX = 64;

interface MarkdownProps {
  text: string;
  /** True while it may still grow. */
  isLive?: boolean;
}

/**
 * An agent's text. `marked` finds the structure; what is drawn is made here, of React elements
 * only: HTML in the text stays text, and images, which would tell their host who reads, are links.
 */
export const Markdown = memo(function Markdown({ text, isLive = false }: MarkdownProps) {
  const wasSlow = useRef(false);
  const tokens = useMemo(() => {
    if (text.length > STRUCTURED_CHARS_MAX || (isLive && wasSlow.current)) return undefined;
    const began = performance.now();
    const found = structure(text);
    wasSlow.current ||= performance.now() - began > STRUCTURE_MS_MAX;
    return found;
  }, [text, isLive]);
  if (!tokens) return <pre className="plain">{text}</pre>;
  return (
    <div className="prose">
      {tokens.map((token, place) => (
        <Block key={place} token={token} />
      ))}
    </div>
  );
});

/** A text's structure; `undefined` where it has none that can be drawn. */
function structure(text: string): Token[] | undefined {
  try {
    const tokens = lexer(text);
    return isDeeper(tokens, DEPTH_MAX) ? undefined : tokens;
  } catch {
    // `marked` calls itself for each level as well, and the stack has an end.
    return undefined;
  }
}

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (levels === 0) return true;
  // A list's items and a table's cells hold tokens too; an array between them is no level.
  const below = Array.isArray(value) ? levels : levels - 1;
  return Object.values(value).some((inner) => isDeeper(inner, below));
}

/** While a text grows only its last block changes; the others have the same source and are kept. */
const Block = memo(
  function Block({ token }: { token: Token }) {
    return <>{block(token as Structure, 0)}</>;
  },
  (before, after) => before.token.raw === after.token.raw && before.token.type === after.token.type,
);

type Structure =
  | Tokens.Heading
  | Tokens.Code
  | Tokens.Blockquote
  | Tokens.List
  | Tokens.Table
  | Tokens.Hr
  | Tokens.Space
  | Tokens.Def
  | Tokens.Paragraph
  | Tokens.Text
  | Tokens.HTML;

type Span =
  | Tokens.Strong
  | Tokens.Em
  | Tokens.Del
  | Tokens.Codespan
  | Tokens.Br
  | Tokens.Link
  | Tokens.Image
  | Tokens.Escape
  | Tokens.Text;

function blocks(tokens: Token[] | undefined): ReactNode {
  return tokens?.map((token, place) => block(token as Structure, place));
}

function block(token: Structure, key: number): ReactNode {
  switch (token.type) {
    case "space":
    case "def":
      return null;
    case "hr":
      return <hr key={key} />;
    case "heading":
      // The page's own headings come first.
      return createElement(`h${Math.min(6, token.depth + 2)}`, { key }, spans(token.tokens));
    case "code":
      return (
        <pre key={key} tabIndex={0}>
          <code>{token.text}</code>
        </pre>
      );
    case "blockquote":
      return <blockquote key={key}>{blocks(token.tokens)}</blockquote>;
    case "list": {
      const items = token.items.map((item, place) => <li key={place}>{blocks(item.tokens)}</li>);
      return token.ordered ? (
        <ol key={key} start={token.start === "" ? 1 : token.start}>
          {items}
        </ol>
      ) : (
        <ul key={key}>{items}</ul>
      );
    }
    case "table":
      return (
        <div key={key} className="table" tabIndex={0} role="region" aria-label="Table">
          <table>
            <thead>
              <tr>{token.header.map((cell, place) => <th key={place}>{spans(cell.tokens)}</th>)}</tr>
            </thead>
            <tbody>
              {token.rows.map((row, line) => (
                <tr key={line}>{row.map((cell, place) => <td key={place}>{spans(cell.tokens)}</td>)}</tr>
              ))}
            </tbody>
          </table>
        </div>
      );
    case "paragraph":
      return <p key={key}>{spans(token.tokens)}</p>;
    case "text":
      return <Fragment key={key}>{token.tokens ? spans(token.tokens) : plain(token.text)}</Fragment>;
    default:
      return <p key={key}>{token.raw}</p>;
  }
}

function spans(tokens: Token[] | undefined): ReactNode {
  return tokens?.map((token, place) => span(token as Span, place));
}

function span(token: Span, key: number): ReactNode {
  switch (token.type) {
    case "strong":
      return <strong key={key}>{spans(token.tokens)}</strong>;
    case "em":
      return <em key={key}>{spans(token.tokens)}</em>;
    case "del":
      return <del key={key}>{spans(token.tokens)}</del>;
    case "codespan":
      return <code key={key}>{token.text}</code>;
    case "br":
      return <br key={key} />;
    case "link":
      return link(token.href, spans(token.tokens), key);
    case "image":
      return link(token.href, token.text || token.href, key);
    case "escape":
      return token.text;
    case "text":
      return <Fragment key={key}>{token.tokens ? spans(token.tokens) : plain(token.text)}</Fragment>;
    default:
      return (token as Token).raw;
  }
}

function link(href: string, children: ReactNode, key: number): ReactNode {
  if (!/^(https?:\/\/|mailto:)/i.test(href)) return <span key={key} title={href}>{children}</span>;
  return (
    <a key={key} href={href} target="_blank" rel="noopener noreferrer nofollow">
      {children}
    </a>
  );
}

const ENTITIES: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', "#39": "'", nbsp: "\u00a0" };

function plain(text: string): string {
  return text.replace(/&(amp|lt|gt|quot|#39|nbsp);/g, (_, name: string) => ENTITIES[name]!);
}
