import { storedUserColumns } from '../user/user.ts';
import { isKeyUsable } from './api-key.ts';

/**
 * SQL of two common table expressions. `held` has the row of the user, locked, and `own` says whether the caller's API key
 * `is_usable`; it has no row without a key. For statements with the parameters userId, apiKeyId, projectId and now.
 *
 * Race: a revocation holds the lock on the user's row, and this statement waits for it with the snapshot of its start. The
 * lock on the key makes PostgreSQL read its newest version.
 */
export const holdKey = `held as materialized (
     select ${storedUserColumns} from users u where u.id = :userId and u.project_id = :projectId for no key update of u
   ), own as materialized (
     select ${isKeyUsable('k', 'o')} as is_usable from held o, api_keys k
     where o.id = :userId and k.user_id = :userId and k.id = :apiKeyId
     for no key update of k
   )`;
