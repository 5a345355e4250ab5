// Which lines two texts have in common.

/** @typedef {{sign: " " | "+" | "-", text: string, old: number, now: number}} Line */

/**
 * The shortest way from one text to the other, by the longest common subsequence of lines.
 * @param {string} before @param {string} after @returns {Line[]}
 */
export function difference(before, after) {
  const a = before === "" ? [] : before.split("\n"), b = after === "" ? [] : after.split("\n");
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head++;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  const [n, m] = [a.length - head - tail, b.length - head - tail];
  // common[i][j]: how many lines the rests from i and j have in common.
  const common = Array.from({ length: n + 1 }, () => new Uint32Array(m + 1));
  for (let i = n - 1; i >= 0; i--) {
    for (let j = m - 1; j >= 0; j--) {
      common[i][j] = a[head + i] === b[head + j] ? common[i + 1][j + 1] + 1 : Math.max(common[i + 1][j], common[i][j + 1]);
    }
  }
  /** @type {Line[]} */
  const found = [];
  const same = (/** @type {number} */ i, /** @type {number} */ j) => found.push({ sign: " ", text: a[i], old: i + 1, now: j + 1 });
  for (let i = 0; i < head; i++) same(i, i);
  let [i, j] = [0, 0];
  while (i < n || j < m) {
    if (i < n && j < m && a[head + i] === b[head + j]) same(head + i++, head + j++);
    else if (i < n && (j === m || common[i + 1][j] >= common[i][j + 1])) found.push({ sign: "-", text: a[head + i], old: head + ++i, now: 0 });
    else found.push({ sign: "+", text: b[head + j], old: 0, now: head + ++j });
  }
  for (let k = 0; k < tail; k++) same(a.length - tail + k, b.length - tail + k);
  return found;
}

/** Only what has changed, with `around` lines before and behind; `null` stands for what is left out. @param {Line[]} all @returns {(Line | null)[]} */
export function hunks(all, around = 3) {
  const near = new Set(all.flatMap((line, n) => line.sign === " " ? [] : Array.from({ length: 2 * around + 1 }, (_, k) => n - around + k)));
  return all.flatMap((line, n) => near.has(n) ? [line] : near.has(n - 1) || (n === 0 && near.size) ? [null] : []);
}
