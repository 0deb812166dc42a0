import { Metadata } from '@grpc/grpc-js';

/** gRPC metadata as the Headers that Connect's interceptors read. Binary values are in base64. */
export function headersFrom(metadata: Metadata): Headers {
  const headers = new Headers();
  const all = metadata.toHttp2Headers();
  for (const key in all) {
    const value = all[key];
    if (typeof value === 'string') append(headers, key, value);
    else for (const each of value as string[]) append(headers, key, each);
  }
  return headers;
}

function append(headers: Headers, key: string, value: string): void {
  headers.append(key, key.endsWith('-bin') ? value.replace(/=+$/, '') : value);
}

/**
 * Metadata that this service sends. Its binary values have no padding, as the protocol asks of servers; grpc-js adds it. The
 * type also tells our responses from those of grpc-js itself.
 */
export class SentMetadata extends Metadata {
  override clone(): SentMetadata {
    const copy = new SentMetadata(this.getOptions());
    copy.merge(this);
    return copy;
  }

  override toHttp2Headers() {
    const headers = super.toHttp2Headers();
    for (const key in headers)
      if (key.endsWith('-bin')) {
        const values = [headers[key] ?? []].flat().map((value) => `${value}`.replace(/=+$/, ''));
        headers[key] = values.length === 1 ? values[0] : values;
      }
    return headers;
  }
}

export function metadataFrom(headers: Headers): Metadata {
  const metadata = new SentMetadata();
  for (const [key, value] of headers) {
    if (key.endsWith('-bin'))
      for (const part of value.split(',')) metadata.add(key, Buffer.from(part.trim(), 'base64'));
    else metadata.add(key, value);
  }
  return metadata;
}
