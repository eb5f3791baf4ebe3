//! Sums up what became of the requests of a batch.

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    landfall::runtime::serve(|deployment, _| {
        let deployment = std::sync::Arc::new(deployment);
        move |input, invocation| {
            let deployment = std::sync::Arc::clone(&deployment);
            Box::pin(async move { landfall_batch::summary::summarise(&deployment, input, &invocation).await })
        }
    })
    .await
}
