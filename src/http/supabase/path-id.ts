import type { Asked } from './asked.ts';
import { AuthError } from './auth-error.ts';

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** The id in a path, by the name of its parameter. A response calls it `field`. */
export function pathId({ path }: Pick<Asked, 'path'>, name: string, field: string): string {
  const id = path[name] ?? '';
  if (!uuid.test(id)) throw new AuthError(404, 'validation_failed', `${field} must be an UUID`);
  return id;
}
