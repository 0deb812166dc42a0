import { readFileSync, statSync } from 'node:fs';
import { z } from 'zod';

const largest = 65_536;

/** The text of a style sheet, which is read once. */
export const styleSheet = z
  .string()
  .transform((file, context) => {
    const { text, fault } = readSheet(file);
    if (fault !== undefined) context.addIssue(fault);
    return text;
  })
  .describe('the path of a CSS file in UTF-8 of at most 64 KiB');

function readSheet(file: string): { readonly text: string; readonly fault?: string } {
  try {
    if (statSync(file).size > largest) return { text: '', fault: 'larger than 64 KiB' };
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(file)) };
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    const fault = code === 'ERR_ENCODING_INVALID_ENCODED_DATA' ? 'not in UTF-8' : `cannot be read (${code})`;
    return { text: '', fault };
  }
}
