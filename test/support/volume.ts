import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { onTestFinished } from 'vitest';

/**
 * Mounts a file system in memory until the test ends, with options such as `size=1m`, and returns its directory. Undefined
 * where this user may mount none, with a line about what is not tried.
 */
export function mountVolume(options: string, untried: string): string | undefined {
  const dir = mkdtempSync(path.join(tmpdir(), 'gatehouse-volume-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', dir], { stdio: 'ignore' });
  } catch {
    console.error(`NOT TRIED: ${untried}, because this user may not mount a volume`);
    return undefined;
  }
  onTestFinished(() => void execFileSync('umount', ['-l', dir]));
  return dir;
}

/** A file that takes up the room on a volume. */
export function fillerOn(volume: string) {
  const file = path.join(volume, 'filler');
  return {
    /** Writes this many bytes, or fewer if the volume is full before. */
    fill(bytes: number): void {
      try {
        writeFileSync(file, Buffer.alloc(bytes));
      } catch (thrown) {
        if ((thrown as NodeJS.ErrnoException).code !== 'ENOSPC') throw thrown;
      }
    },
    empty: () => rmSync(file),
  };
}
