/** Attempts per mail; with the waits between them they take about nine hours. */
export const mostAttempts = 16;

/** Attempts after which the server may have accepted the mail: the first, and two more. */
export const mostDoubts = 3;

/** Seconds before the second attempt. */
const firstPause = 30;
const longestPause = 3600;

/**
 * Seconds between a failed attempt and the next. They double up to an hour. Half of them are random, so that mails that
 * failed together are not retried together.
 */
export function pauseAfter(attempts: number): number {
  return Math.min(longestPause, firstPause * 2 ** (attempts - 1)) * (0.5 + Math.random() / 2);
}
