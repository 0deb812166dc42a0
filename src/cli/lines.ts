/** A line of a file, or the reason why it is invalid. */
export type Line = { readonly text: string } | { readonly why: string };

/**
 * The lines of a file of JSON lines, split at newlines only: node:readline would also split at U+2028 and U+2029, which
 * JSON strings may contain. At most `longest` bytes of a line are kept, so that a file without newlines does not exhaust
 * the memory.
 */
export async function* readLines(input: AsyncIterable<Buffer>, longest: number): AsyncGenerator<Line> {
  const line = new LineBuffer(longest);
  for await (const chunk of input) {
    let from = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, from)) {
      line.add(chunk.subarray(from, end));
      yield line.take();
      from = end + 1;
    }
    line.add(chunk.subarray(from));
  }
  if (line.length > 0) yield line.take();
}

const newline = 0x0a;
const utf8 = new TextDecoder('utf-8', { fatal: true });

class LineBuffer {
  length = 0;
  readonly #longest: number;
  #parts: Buffer[] = [];

  constructor(longest: number) {
    this.#longest = longest;
  }

  add(bytes: Buffer): void {
    this.length += bytes.length;
    if (this.length <= this.#longest) this.#parts.push(bytes);
  }

  take(): Line {
    const [parts, length] = [this.#parts, this.length];
    this.#parts = [];
    this.length = 0;
    if (length > this.#longest) return { why: `longer than ${this.#longest / 1024} KiB` };
    try {
      return { text: utf8.decode(Buffer.concat(parts)) };
    } catch {
      return { why: 'not UTF-8' };
    }
  }
}
