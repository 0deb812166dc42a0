import { durationMs } from '@bufbuild/protobuf/wkt';
import { renderUnicodeCompact } from 'uqr';
import type { RequestDeviceCodeResponse } from '../../../gen/gatehouse/v1/device_grant_pb.ts';

/** What the user reads while a program waits for the approval. On stderr: stdout is for results. */
export function promptFor(code: RequestDeviceCodeResponse): string {
  return [
    `Open    ${code.verificationUriComplete}`,
    `Code    ${code.userCode}`,
    `Number  ${code.comparisonNumber}  (the page displays the same number)`,
    '',
  ].join('\n');
}

/**
 * The link as a QR code, for a telephone. Two modules are one character, white on black whatever the colors of the terminal
 * are. Empty if the terminal is too narrow.
 */
export function qrCodeOf({ verificationUriComplete }: RequestDeviceCodeResponse, columns: number): string {
  const lines = renderUnicodeCompact(verificationUriComplete, { border: 2 }).split('\n');
  if (lines[0]!.length > columns) return '';
  return lines.map((each) => `\u001b[97;40m${each}\u001b[0m\n`).join('');
}

/** The code as one JSON object. The device code is a secret and is left out. */
export function codeAsJson(code: RequestDeviceCodeResponse) {
  return {
    event: 'code',
    verification_uri: code.verificationUri,
    verification_uri_complete: code.verificationUriComplete,
    user_code: code.userCode,
    comparison_number: code.comparisonNumber,
    expires_in: lifetimeOf(code) / 1000,
  };
}

const frames = [...'⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏'];

/** The beginning of the current line of a terminal, which is emptied. */
export const emptyLine = '\r\u001b[K';

/** Displays a spinner and the time left, on a terminal. Returns how to stop. */
export function countDown(code: RequestDeviceCodeResponse): () => void {
  if (!process.stderr.isTTY) return () => {};
  const end = performance.now() + lifetimeOf(code);
  let frame = 0;
  const show = () => {
    const left = clock(end - performance.now());
    process.stderr.write(`\r${frames[frame++ % frames.length]} Waiting for the approval, ${left} left `);
  };
  show();
  const timer = setInterval(show, 100);
  return () => {
    clearInterval(timer);
    process.stderr.write(emptyLine);
  };
}

function lifetimeOf({ expiresIn }: RequestDeviceCodeResponse): number {
  return expiresIn ? durationMs(expiresIn) : 0;
}

function clock(milliseconds: number): string {
  const seconds = Math.max(0, Math.ceil(milliseconds / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}
