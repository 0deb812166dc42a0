import { durationMs } from '@bufbuild/protobuf/wkt';
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

/** Displays the time left, each second, on a terminal. Returns how to stop. */
export function countDown(code: RequestDeviceCodeResponse): () => void {
  if (!process.stderr.isTTY) return () => {};
  const end = performance.now() + lifetimeOf(code);
  const show = () => process.stderr.write(`\rWaiting for the approval, ${clock(end - performance.now())} left `);
  show();
  const timer = setInterval(show, 1000);
  return () => {
    clearInterval(timer);
    process.stderr.write('\r\u001b[K');
  };
}

function lifetimeOf({ expiresIn }: RequestDeviceCodeResponse): number {
  return expiresIn ? durationMs(expiresIn) : 0;
}

function clock(milliseconds: number): string {
  const seconds = Math.max(0, Math.ceil(milliseconds / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}
