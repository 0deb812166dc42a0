// The package has no types.
declare module 'oidc-provider' {
  import type { RequestListener } from 'node:http';

  export default class Provider {
    constructor(issuer: string, configuration: object);
    proxy: boolean;
    callback(): RequestListener;
    interactionDetails(
      req: unknown,
      res: unknown,
    ): Promise<{ prompt: { name: string }; params: Record<string, string> }>;
    interactionFinished(req: unknown, res: unknown, result: object): Promise<void>;
    Grant: new (about: {
      accountId: string;
      clientId: string;
    }) => { addOIDCScope(scope: string): void; save(): Promise<string> };
  }
}
