import type { IncomingHttpHeaders } from 'node:http';

/** The headers of a request as the Headers that Connect's interceptors read. */
export function headersFrom(sent: IncomingHttpHeaders): Headers {
  const headers = new Headers();
  for (const name in sent) {
    const value = sent[name];
    if (typeof value === 'string') headers.append(name, value);
    else for (const each of value ?? []) headers.append(name, each);
  }
  return headers;
}
