/** Waits for work, but no longer than a limit; what the work comes to is not asked. */
export async function within(limitMs: number, work: Promise<unknown>): Promise<void> {
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(late.resolve, limitMs);
  await Promise.race([work.catch(() => {}), late.promise]);
  clearTimeout(timer);
}
