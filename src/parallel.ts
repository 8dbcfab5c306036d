/**
 * Calls `work` for every item, at most `parallel` at a time. An error ends it: nothing further begins, what is under way is
 * waited for, and then the first error is thrown.
 * @returns what the calls returned, in the items' order
 */
export async function mapParallel<T, R>(
  items: readonly T[],
  parallel: number,
  work: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = new Array(items.length)
  const failed: unknown[] = []
  let next = 0
  const worker = async () => {
    while (next < items.length && failed.length === 0) {
      const index = next++
      try {
        results[index] = await work(items[index]!, index)
      } catch (error) {
        failed.push(error)
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(parallel, items.length) }, worker))
  if (failed.length > 0) throw failed[0]
  return results
}
