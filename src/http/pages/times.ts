import { type Timestamp, timestampDate } from '@bufbuild/protobuf/wkt';
import { type Html, html } from './html.ts';
import type { Language } from './language.ts';

const units = [
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
  ['second', 1],
] as const;

/** A time as "5 minutes ago". The exact time, in UTC, is its title: the service does not know the reader's time zone. */
export function ago(time: Timestamp, language: Language, now: Date): Html {
  const at = timestampDate(time);
  const seconds = Math.max(0, Math.round((now.getTime() - at.getTime()) / 1000));
  const [unit, length] = units.find(([, each]) => seconds >= each) ?? units[3];
  const text = new Intl.RelativeTimeFormat(language, { numeric: 'auto' }).format(-Math.floor(seconds / length), unit);
  const exact = new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'long', timeZone: 'UTC' });
  return html`<time datetime="${at.toISOString()}" title="${exact.format(at)}">${text}</time>`;
}
