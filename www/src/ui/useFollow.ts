import { type RefObject, useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";

/** Pixels from the end that still count as being there: a line of text and some slack. */
const SLACK_PX = 40;
/** Positions are fractions of a pixel where the screen is scaled. */
const ROUNDING_PX = 2;

/**
 * Keeps a scrolling element at its end while the reader is there, and leaves it alone while not.
 * `content` is whatever its height depends on.
 */
export function useFollow(
  scroller: RefObject<HTMLElement | null>,
  content: unknown,
): { isFollowing: boolean; follow: () => void } {
  const [isFollowing, setFollowing] = useState(true);
  const following = useRef(true);

  const settle = useCallback((value: boolean) => {
    following.current = value;
    setFollowing(value);
  }, []);
  const follow = useCallback(() => {
    settle(true);
    const element = scroller.current;
    if (element) element.scrollTop = element.scrollHeight;
  }, [scroller, settle]);

  useLayoutEffect(() => {
    if (following.current) follow();
  }, [content, follow]);

  useEffect(() => {
    const element = scroller.current;
    if (!element) return;
    let top = element.scrollTop;
    const judge = (): void => {
      const left = fromEnd(element);
      // Content that grows moves the end away without the reader moving: only going up lets go, and
      // however little, or a slow finger would be pulled back at every frame.
      if (left <= ROUNDING_PX) settle(true);
      else if (element.scrollTop < top) settle(false);
      else if (left <= SLACK_PX && element.scrollTop > top) settle(true);
      top = element.scrollTop;
    };
    // What the reader unfolds at the end is to be read, not to be scrolled away from.
    const unfolded = (event: Event): void => {
      if (!(event.target as Element).closest("summary")) return;
      requestAnimationFrame(() => {
        if (fromEnd(element) > SLACK_PX) settle(false);
      });
    };
    // The keyboard of a phone, a wider window: the end stays in sight.
    const resized = new ResizeObserver(() => {
      if (following.current) element.scrollTop = element.scrollHeight;
    });
    element.addEventListener("scroll", judge, { passive: true });
    element.addEventListener("click", unfolded);
    resized.observe(element);
    return () => {
      element.removeEventListener("scroll", judge);
      element.removeEventListener("click", unfolded);
      resized.disconnect();
    };
  }, [scroller, settle]);

  return { isFollowing, follow };
}

function fromEnd(element: HTMLElement): number {
  return element.scrollHeight - element.scrollTop - element.clientHeight;
}
