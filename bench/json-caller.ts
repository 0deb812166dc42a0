import { HttpCaller } from './http-caller.ts';

/** A client for calls in JSON of one method. */
export class JsonCaller extends HttpCaller {
  constructor(address: string, path: string, bearer?: string) {
    const authorization = bearer && `Bearer ${bearer}`;
    const headers = { 'content-type': 'application/json', ...(authorization && { authorization }) };
    super(address, `POST ${path as `/${string}`}`, headers);
  }
}
