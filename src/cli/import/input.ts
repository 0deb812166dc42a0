import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { pipeline, Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';

/** The bytes to import, and the path of the report about them. */
export interface ImportInput {
  readonly name: string;
  /** Whether the bytes can be read again. */
  readonly isFile: boolean;
  readonly bytes: () => AsyncIterable<Buffer>;
  readonly report: string;
}

const reportOfStream = 'import.refused.jsonl';

/** Opens the argument of `import`. Throws what is wrong with it, before anything needs the database. */
export async function openInput(file: string): Promise<ImportInput> {
  if (file === '-') return { name: 'stdin', isFile: false, bytes: () => process.stdin, report: reportOfStream };
  return openFile(file).catch((error: Error) => {
    throw new Error(`${file} cannot be imported: ${error.message}`);
  });
}

async function openFile(file: string): Promise<ImportInput> {
  const opened = await open(file);
  const stats = await opened.stat();
  if (stats.isDirectory()) {
    await opened.close();
    throw new Error('it is a directory');
  }
  // Nothing can be written beside a pipe, such as the one that the shell makes of <(command).
  if (!stats.isFile())
    return { name: file, isFile: false, bytes: () => opened.createReadStream(), report: reportOfStream };
  await opened.close();
  return { name: file, isFile: true, bytes: () => createReadStream(file), report: `${file}.refused.jsonl` };
}

const gzip = Buffer.of(0x1f, 0x8b);
const mark = Buffer.of(0xef, 0xbb, 0xbf);
const utf16 = [Buffer.of(0xff, 0xfe), Buffer.of(0xfe, 0xff)];

/** The bytes of a text, unpacked, and without a byte order mark. Throws for what is no text. */
export async function plainBytes(bytes: AsyncIterable<Buffer>): Promise<AsyncIterable<Buffer>> {
  const { first, all } = await begun(bytes);
  if (startsWith(first, gzip)) {
    const unpacked = createGunzip();
    // An error ends the iteration.
    pipeline(Readable.from(all), unpacked, () => {});
    return plainBytes(unpacked);
  }
  if (startsWith(first, Buffer.from('PGDMP')))
    throw new Error('it is an archive of pg_dump: make a text of it with pg_restore --data-only --file=users.sql');
  if (utf16.some((each) => startsWith(first, each)))
    throw new Error('it is UTF-16: let the program write the file itself, with --file, or convert it to UTF-8');
  return startsWith(first, mark) ? withoutMark(all) : all;
}

function startsWith(bytes: Buffer, expected: Buffer): boolean {
  return bytes.subarray(0, expected.length).equals(expected);
}

/** The first chunks, so many that what a file begins with is in them, and all of them. */
async function begun(bytes: AsyncIterable<Buffer>) {
  const iterator = bytes[Symbol.asyncIterator]();
  let first = Buffer.alloc(0);
  while (first.length < 5) {
    const { value, done } = await iterator.next();
    if (done) break;
    first = Buffer.concat([first, value]);
  }
  async function* all(): AsyncGenerator<Buffer> {
    yield first;
    for (;;) {
      const { value, done } = await iterator.next();
      if (done) return;
      yield value;
    }
  }
  return { first, all: all() };
}

async function* withoutMark(bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let left = mark.length;
  for await (const chunk of bytes) {
    yield chunk.subarray(left);
    left = 0;
  }
}
