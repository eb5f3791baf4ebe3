//! Checks what a job wrote to S3.

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    landfall::runtime::serve(|deployment, _| {
        let deployment = std::sync::Arc::new(deployment);
        move |input, invocation| {
            let deployment = std::sync::Arc::clone(&deployment);
            Box::pin(async move { landfall_output::step::verify_step(&deployment, input, &invocation).await })
        }
    })
    .await
}
