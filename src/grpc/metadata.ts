import { Metadata } from '@grpc/grpc-js';

/** gRPC metadata as the Headers that Connect's interceptors read. Binary values are in base64. */
export function headersFrom(metadata: Metadata): Headers {
  const headers = new Headers();
  for (const [key, values] of Object.entries(metadata.toHttp2Headers()))
    for (const value of [values ?? []].flat() as string[])
      headers.append(key, key.endsWith('-bin') ? value.replace(/=+$/, '') : value);
  return headers;
}

export function metadataFrom(headers: Headers): Metadata {
  const metadata = new Metadata();
  for (const [key, value] of headers) {
    if (key.endsWith('-bin'))
      for (const part of value.split(',')) metadata.add(key, Buffer.from(part.trim(), 'base64'));
    else metadata.add(key, value);
  }
  return metadata;
}
