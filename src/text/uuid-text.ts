const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Whether a text of a request that was not validated yet is a UUID, in either spelling. */
export function isUuid(text: string): boolean {
  return uuid.test(text);
}
