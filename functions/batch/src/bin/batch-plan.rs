//! Makes one event of each request of a batch, and the list that the state machine runs.

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    landfall::runtime::serve(|deployment, _| {
        let deployment = std::sync::Arc::new(deployment);
        move |input, invocation| {
            let deployment = std::sync::Arc::clone(&deployment);
            Box::pin(async move { landfall_batch::plan::plan(&deployment, input, &invocation).await })
        }
    })
    .await
}
