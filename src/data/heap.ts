// A binary heap: byte-pair encoding always takes the best pair next, in training as in encoding.

/** An empty heap; `before(a, b)` says whether a comes first. */
export function heapOf<T>(before: (a: T, b: T) => boolean) {
  const items: T[] = [];
  return {
    push(item: T): void {
      let at = items.push(item) - 1;
      for (let parent = (at - 1) >> 1; at > 0 && before(item, items[parent]); parent = (at - 1) >> 1) {
        items[at] = items[parent];
        at = parent;
      }
      items[at] = item;
    },
    /** Takes the first item out; undefined where there is none. */
    pop(): T | undefined {
      const first = items[0];
      const last = items.pop();
      if (items.length === 0) return first;
      let at = 0;
      for (;;) {
        let child = 2 * at + 1;
        if (child >= items.length) break;
        if (child + 1 < items.length && before(items[child + 1], items[child])) child++;
        if (!before(items[child], last!)) break;
        items[at] = items[child];
        at = child;
      }
      items[at] = last!;
      return first;
    },
  };
}
