/** The types of both nodes' functions reach the client. Nothing runs: what is wrong does not compile. */
import type { Client, RemoteStream } from '@millrace/remote'
import { expectTypeOf, test } from 'vitest'
import type { MlFunctions } from './inference/functions.ts'
import type { InferenceRecord, SensorErrorRecord, SensorRecord, SensorStatus } from './records.ts'
import type { DataFunctions } from './sensors/functions.ts'

type CaseClient = Client<DataFunctions & MlFunctions>

test('streams and calls of both nodes are typed from end to end', () => {
  const streams = (client: CaseClient) => ({
    data: client.stream.readings({ sensors: ['temperature'], sampleRate: 10, duration: 60 }),
    ml: client.stream.classifications({ modelName: 'resnet50', batchSize: 8 }),
    status: client.call.get_sensor_status(),
  })
  type Opened = ReturnType<typeof streams>
  expectTypeOf<Opened['data']>().toEqualTypeOf<RemoteStream<SensorRecord | SensorErrorRecord>>()
  expectTypeOf<Opened['ml']>().toEqualTypeOf<RemoteStream<InferenceRecord>>()
  expectTypeOf<Opened['status']>().toEqualTypeOf<Promise<SensorStatus>>()
})

test('wrong arguments and functions that nobody has do not compile', () => {
  const wrong = (client: CaseClient) => [
    // @ts-expect-error a rate is a number
    () => client.stream.readings({ sampleRate: '10' }),
    // @ts-expect-error there is no such field
    () => client.stream.classifications({ model: 'resnet50' }),
    // @ts-expect-error no node has it
    () => client.call.get_weather(),
  ]
  expectTypeOf(wrong).returns.items.toBeFunction()
})
