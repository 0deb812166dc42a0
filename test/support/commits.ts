import { ofCalls } from './methods.ts';
import type { SentStatement } from './proxy.ts';

const isWrite = ({ text }: SentStatement) => /\b(insert into|update|delete from)\b/i.test(text);

/**
 * Recognises what makes a write of a call permanent: the COMMIT of its transaction, or a statement that commits by itself.
 * Jobs write as well, and their commits are passed over.
 */
export function isCommitOfCall(): (sent: SentStatement) => boolean {
  const open = new Map<number, SentStatement[]>();
  return (sent) => {
    if (sent.text === 'begin') open.set(sent.connection, []);
    const transaction = open.get(sent.connection);
    if (!transaction) return isWrite(sent) && ofCalls([sent]).length > 0;
    transaction.push(sent);
    if (!/^(commit|rollback)$/.test(sent.text)) return false;
    open.delete(sent.connection);
    return sent.text === 'commit' && transaction.some(isWrite) && ofCalls(transaction).length > 0;
  };
}
