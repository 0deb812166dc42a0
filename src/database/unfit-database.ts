/** The database responds, but cannot be used. The message names the cure. */
export class UnfitDatabase extends Error {
  override name = 'UnfitDatabase';
}
