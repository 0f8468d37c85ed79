// A binary heap, from which byte-pair encoding takes the best pair, both in training and in encoding.

/** Returns an empty heap. The function `before(a, b)` must return true if a comes before b. */
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
    /** Removes and returns the first item; undefined if the heap is empty. */
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
