/**
 * When a month that is counted from `anchor` ends next: the first of the moments `anchor`, one month later, two months
 * later ... that is after `now`. In UTC. A day that a month does not have is its last: from 31 January the ends are 28 (or
 * 29) February, 31 March, 30 April. The anchor's day is never lost on the way.
 */
export function nextReset(anchor: Date, now: Date): Date {
  let months = Math.max(1, monthOf(now) - monthOf(anchor));
  if (addMonths(anchor, months) <= now) months++;
  return addMonths(anchor, months);
}

function monthOf(time: Date): number {
  return time.getUTCFullYear() * 12 + time.getUTCMonth();
}

function addMonths(anchor: Date, months: number): Date {
  const month = monthOf(anchor) + months;
  const at = new Date(anchor);
  // The first, so that setting the month does not overflow into the next.
  at.setUTCFullYear(Math.floor(month / 12), month % 12, 1);
  at.setUTCDate(Math.min(anchor.getUTCDate(), lengthOf(month)));
  return at;
}

function lengthOf(month: number): number {
  return new Date(Date.UTC(Math.floor(month / 12), (month % 12) + 1, 0)).getUTCDate();
}
